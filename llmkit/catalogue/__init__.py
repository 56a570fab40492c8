"""What is known of models, as data with dates and sources."""
