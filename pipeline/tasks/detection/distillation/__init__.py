"""What a detector learns from its teachers' answers."""
