"""Vector and bundle in, assessment out: pure functions, no input or output."""
