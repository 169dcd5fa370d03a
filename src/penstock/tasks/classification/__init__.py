"""Classification: a sentence to one of the labels it was trained with."""
