"""Operations: health, metrics, the model reloader, retention and erasure, the demo bank."""
