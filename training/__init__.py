"""Labels, dataset, fit, calibration, evidence and registration of a model bundle; the simulated marketplace."""
