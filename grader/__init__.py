"""prep's judge: problems in, an attempt in, a verdict out."""

__version__ = "0.1.0"
