"""ROS without ROS: what its messages hold, its recordings, and its wire."""
