"""This package holds pure functions, from tensors or arrays to tensors or arrays: the numbers behind the callbacks."""
