"""Facts in, statements out; pure."""
