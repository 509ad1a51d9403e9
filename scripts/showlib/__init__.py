"""What scripts/show and scripts/soak share. Standard library only."""
