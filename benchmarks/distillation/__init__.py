"""What a student learns from its teachers by each loss, with how many views, and how long that takes."""
