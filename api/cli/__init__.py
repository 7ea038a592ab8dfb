"""The commands of the `sellerscore` console command that the API provides."""
