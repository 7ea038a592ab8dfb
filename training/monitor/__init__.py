"""Monitoring of the models in use: drift, performance, calibration and freshness of the data, with alarms."""
