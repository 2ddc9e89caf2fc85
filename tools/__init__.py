"""What writes the pages of this repository; no part of the package."""
