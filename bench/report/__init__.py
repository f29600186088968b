"""Tables: rows in, text out."""
