"""Values in, text out: what people read of a build."""
