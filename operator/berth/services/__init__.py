"""The services that people's clients and Berth's own processes talk to: access and catalog."""
