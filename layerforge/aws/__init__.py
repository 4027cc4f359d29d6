"""AWS: what is published, where it is, and who uses it.

The only room that imports boto3 and botocore, and only inside of functions: commands
that ask AWS nothing don't wait for them.
"""
