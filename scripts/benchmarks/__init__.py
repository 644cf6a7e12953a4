"""What ``scripts/bench`` measures; each part stands alone and prints JSON lines."""
