"""Release: a trained model in the formats that people use, each proven equal to what was trained."""
