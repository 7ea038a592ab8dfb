"""What a reviewer asks of a model: figures with intervals, and the plots that show them."""
