"""The ids that every vocabulary begins with, and the names that show them."""

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3
RESERVED = ("<pad>", "<unk>", "<bos>", "<eos>")
