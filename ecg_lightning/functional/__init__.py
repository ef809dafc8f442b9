"""Pure functions, tensors or arrays in and out: the numbers behind the callbacks."""
