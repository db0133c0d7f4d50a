"""One file per method, registered by itself; see `protocol` for what a method is."""
from .parameters import Parameter
from .registry import Method, find, method, methods

__all__ = ["Method", "Parameter", "find", "method", "methods"]
