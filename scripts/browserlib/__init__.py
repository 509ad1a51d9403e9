"""What scripts/browser-test is made of. Standard library only."""
