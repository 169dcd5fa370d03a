"""What leaves a corpus when it is cleaned: rules for a pair, and for pairs that come again."""
