"""The durable job worker: procrastinate's queues, and steps in processes that can be killed."""
