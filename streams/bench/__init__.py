"""What measures Headrace: the standard mix and the systems it is compared with."""
