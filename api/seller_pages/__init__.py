"""The pages of a seller: what I qualify for, why, what would help, who may see my data; in English and Chinese."""
