"""What draws, writes and serves: OpenCV pictures, files, HTTP."""
