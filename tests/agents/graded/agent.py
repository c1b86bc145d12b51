"""An agent with a rubric: it answers, refuses, asks, takes a file and waits."""

from a2a_cloud import Context, File, Refuse, skill


@skill
def greet(name: str) -> str:
    """Greet somebody by name. Does not remember anybody."""
    if name == "nobody":
        raise Refuse("There is nobody.")
    return f"Hello, {name}."


@skill
async def area(ctx: Context, width: float) -> dict:
    """The area of a rectangle in square metres. Asks for its height."""
    height = await ctx.ask("How high is it?", {"type": "number"})
    return {"area": width * height, "unit": "m2"}


@skill
def count(file: File) -> dict:
    """Count the bytes of a file. Does not keep it."""
    return {"bytes": file.size, "name": file.name}


@skill(durable=True)
async def slow(ctx: Context, seconds: float) -> str:
    """Wait for so many seconds. Does nothing else."""
    await ctx.sleep(seconds)
    return "waited"
