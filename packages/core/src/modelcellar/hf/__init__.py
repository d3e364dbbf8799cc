"""What the Hugging Face Hub knows about a file, and how it is asked."""
