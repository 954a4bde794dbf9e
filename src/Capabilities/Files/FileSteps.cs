using Platform.Domain.Capabilities;

namespace Platform.Capabilities.Files;

/// <summary>One step on files, told so that it can be done, found done, and turned round.</summary>
/// <param name="Do"><c>put</c>: from image <paramref name="Expect"/> to <paramref name="Then"/>; <c>move</c>: the file <paramref name="Expect"/> to <paramref name="To"/>, where nothing is; <c>make_folder</c>, <c>remove_folder</c>.</param>
/// <param name="Required">Of a folder: false for a folder made in passing, which stays when somebody uses it.</param>
public sealed record FileStep(string Do, string Path, string? To = null, Image? Expect = null, Image? Then = null, bool Required = true);

/// <summary>
/// Steps, each atomic, done in order. The world is compared with the state after every number of steps, so that an interrupted row of steps is
/// resumed where it stopped, and a finished one is never begun again.
/// </summary>
internal sealed class FileSteps(FileSpace space, IReadOnlyList<FileStep> steps, Grant grant, string key)
{
    private static readonly Image Folder = new("folder");

    public static IReadOnlyList<FileStep> Reverse(IEnumerable<FileStep> steps) =>
    [
        .. steps.Reverse().Select(step => step.Do switch
        {
            "put" => step with { Expect = step.Then, Then = step.Expect },
            "move" => step with { Path = step.To!, To = step.Path },
            "make_folder" => step with { Do = "remove_folder" },
            "remove_folder" => step with { Do = "make_folder" },
            _ => throw new CapabilityException("invalid", $"'{step.Do}' is no step on files."),
        }),
    ];

    /// <summary>How many steps are done already: the largest number that the world agrees with; -1 where it agrees with none.</summary>
    /// <param name="foreign">The path that agrees with neither end.</param>
    public int Done(out string foreign)
    {
        var states = States();
        var world = states[0].Keys.ToDictionary(path => path, path => space.See(FileSpace.Locate(path, grant, write: true)).Image, StringComparer.Ordinal);
        foreign = states[0].Keys.FirstOrDefault(path => !FileSpace.Same(world[path], states[0][path]) && !FileSpace.Same(world[path], states[^1][path]))
            ?? states[0].Keys.FirstOrDefault(path => !FileSpace.Same(world[path], states[0][path])) ?? "";
        for (var done = steps.Count; done >= 0; done--)
        {
            if (states[done].All(s => FileSpace.Same(world[s.Key], s.Value))) { return done; }
        }

        return -1;
    }

    /// <summary>Does what is not done yet.</summary>
    /// <returns>Folders that were to go and stay, since they are used.</returns>
    public IReadOnlyList<string> Perform()
    {
        var done = Done(out var foreign);
        if (done < 0) { throw new CapabilityException("conflict", $"{foreign} was changed by somebody else; nothing was done."); }
        var kept = new List<string>();
        foreach (var step in steps.Skip(SkipsOf(done)))
        {
            var place = FileSpace.Locate(step.Path, grant, write: true);
            switch (step.Do)
            {
                case "put":
                    space.Put(place, step.Expect!, step.Then!, key);
                    break;
                case "move":
                    space.Move(place, FileSpace.Locate(step.To!, grant, write: true), step.Expect!);
                    break;
                case "make_folder":
                    space.MakeFolder(place);
                    break;
                default:
                    if (space.RemoveFolder(place)) { break; }
                    if (step.Required) { throw new CapabilityException("conflict", $"{step.Path} is not empty: somebody else has put something into it."); }
                    kept.Add(step.Path);
                    break;
            }
        }

        return kept;
    }

    /// <summary>Whether a folder that was to go is still there and empty: a crash came before its step.</summary>
    public bool LeavesEmptyFolders() => steps.Any(step =>
    {
        if (step.Do != "remove_folder" || step.Required) { return false; }
        var place = FileSpace.Locate(step.Path, grant, write: true);
        return space.See(place).Image.Kind == "folder" && space.IsEmpty(place);
    });

    public void Sweep()
    {
        foreach (var step in steps.Where(s => s.Do == "put")) { space.Sweep(FileSpace.Locate(step.Path, grant, write: true), key); }
    }

    // Soft folder steps leave no trace in the state: those right before the first undone step are asked again, which is harmless.
    private int SkipsOf(int done)
    {
        while (done is > 0 && done <= steps.Count && !steps[done - 1].Required) { done--; }
        return done;
    }

    private List<Dictionary<string, Image>> States()
    {
        var first = new Dictionary<string, Image>(StringComparer.Ordinal);
        foreach (var step in steps)
        {
            switch (step.Do)
            {
                case "put":
                    first.TryAdd(step.Path, step.Expect ?? throw Incomplete(step));
                    if (step.Then is null) { throw Incomplete(step); }
                    break;
                case "move":
                    first.TryAdd(step.Path, step.Expect ?? throw Incomplete(step));
                    first.TryAdd(step.To ?? throw Incomplete(step), Image.Absent);
                    break;
                case "make_folder" or "remove_folder":
                    if (step.Required) { first.TryAdd(step.Path, step.Do == "make_folder" ? Image.Absent : Folder); }
                    break;
                default:
                    throw new CapabilityException("invalid", $"'{step.Do}' is no step on files.");
            }
        }

        List<Dictionary<string, Image>> states = [first];
        foreach (var step in steps)
        {
            var next = new Dictionary<string, Image>(states[^1], StringComparer.Ordinal);
            switch (step.Do)
            {
                case "put":
                    next[step.Path] = step.Then!;
                    break;
                case "move":
                    next[step.Path] = Image.Absent;
                    next[step.To!] = step.Expect!;
                    break;
                default:
                    if (step.Required) { next[step.Path] = step.Do == "make_folder" ? Folder : Image.Absent; }
                    break;
            }

            states.Add(next);
        }

        return states;
    }

    private static CapabilityException Incomplete(FileStep step) => new("invalid", $"The step '{step.Do}' on {step.Path} lacks an image or a target.");
}
