"""What a report or a gallery is made of, in plain values: numbers, sentences, data of figures, pieces of micrographs."""
