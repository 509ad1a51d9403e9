"""What the executables of scripts/package share. Standard library only."""
