"""One file per method, registered by itself; see `protocol` for what a method is."""
from .parameters import Parameter
from .protocol import Draft, Round
from .registry import Method, find, method, methods

__all__ = ["Draft", "Method", "Parameter", "Round", "find", "method", "methods"]
