"""What is told of the model in force."""
