using System.Text.Json;
using Platform.Capabilities.Blobs;
using Platform.Domain.Capabilities;

namespace Platform.Capabilities.Files;

/// <summary>Everything that a daemon may do to files, over one store of before-images.</summary>
public static class FileCapabilities
{
    public static IReadOnlyList<ICapability> All(ContentStore store) => Over(new FileSpace(store));

    internal static IReadOnlyList<ICapability> Over(FileSpace space) =>
    [
        new ListFilesCapability(space),
        new ReadFileCapability(space),
        new WriteFileCapability(space),
        new AppendFileCapability(space),
        new MoveFileCapability(space),
        new DeleteFileCapability(space),
        new MakeFolderCapability(space),
        new RestoreFilesCapability(space),
    ];
}

/// <summary>An effect on files: steps forward, derived from what was planned, and the same steps turned round as its inverse.</summary>
internal abstract class FileEffect(FileSpace space, CapabilityDescriptor descriptor) : ICapability
{
    public CapabilityDescriptor Descriptor { get; } = descriptor;

    protected FileSpace Space { get; } = space;

    public Task<EffectPlan> Plan(CapabilityCall call, CancellationToken cancellation)
    {
        var touches = Touches(call);
        var steps = Forward(call, touches);
        foreach (var step in steps.Where(s => s.Do == "put" && s.Expect!.Kind == "file")) { KeepBefore(step, call.Grant); }

        // A first look that everything is allowed, before anything is recorded.
        if (new FileSteps(Space, steps, call.Grant, call.IdempotencyKey).Done(out var foreign) < 0)
        {
            throw new CapabilityException("conflict", $"{foreign} was changed by somebody else meanwhile.");
        }

        return Task.FromResult(new EffectPlan(touches, steps.Count == 0 ? null : Inverse(steps, call.Grant)));
    }

    public Task<EffectResult> Perform(CapabilityCall call, EffectPlan plan, CancellationToken cancellation)
    {
        var kept = Steps(call, plan).Perform();
        return Task.FromResult(Result(call, plan, kept));
    }

    public Task<ReadBack> ReadBack(CapabilityCall call, EffectPlan plan, CancellationToken cancellation)
    {
        var steps = Steps(call, plan);
        var count = Forward(call, plan.Touches).Count;
        try
        {
            var done = steps.Done(out var foreign);
            if (done >= 0) { steps.Sweep(); }
            return Task.FromResult<ReadBack>(done switch
            {
                < 0 => new ReadBack.Unclear($"{foreign} matches neither what was before nor what was planned."),
                _ when done == count && !steps.LeavesEmptyFolders() => new ReadBack.Applied(Result(call, plan, [])),
                _ => new ReadBack.NotApplied(),
            });
        }
        catch (CapabilityException failure)
        {
            return Task.FromResult<ReadBack>(new ReadBack.Unclear(failure.Message));
        }
    }

    protected abstract IReadOnlyList<Touch> Touches(CapabilityCall call);

    protected abstract JsonElement ResultOf(CapabilityCall call, EffectPlan plan, IReadOnlyList<string> kept);

    /// <summary>The steps of a plan as it was recorded.</summary>
    protected virtual IReadOnlyList<FileStep> Forward(CapabilityCall call, IReadOnlyList<Touch> touches) =>
    [
        .. touches.Where(t => t.Access != Access.Read).Select(t => t.After!.Kind == "folder"
            ? new FileStep("make_folder", FileSpace.PathOf(t.Resource), Required: false)
            : new FileStep("put", FileSpace.PathOf(t.Resource), Expect: t.Before, Then: t.After)),
    ];

    protected IEnumerable<Touch> Parents(Place place) =>
        Space.MissingParents(place).Select(path => new Touch(FileSpace.Resource(path), Access.Create, Image.Absent, new Image("folder")));

    /// <summary>A file's image with its bytes in the store; absent stays absent, a folder is refused.</summary>
    protected Seen SeeFile(Place place, bool content)
    {
        var seen = Space.See(place, content);
        if (seen.Image.Kind == "folder") { throw new CapabilityException("invalid", $"{place.Path} is a folder."); }
        if (content && seen.Links > 1) { throw FileSpace.HardLinked(place.Path); }
        return seen;
    }

    protected Image Put(ReadOnlySpan<byte> content, string path, Image before)
    {
        if (content.Length > Space.Store.MaxBytes) { throw new CapabilityException("too_large", $"{path} would have {content.Length} bytes; the limit is {Space.Store.MaxBytes}."); }
        return new Image("file", Keep(content), content.Length, before.Kind == "file" ? Lasting(before) : null);
    }

    private static Dictionary<string, string> Lasting(Image before) =>
        before.Attributes!.Where(a => a.Key is "mode" or "owner").ToDictionary(StringComparer.Ordinal);

    private string Keep(ReadOnlySpan<byte> content)
    {
        try { return Space.Store.Put(content); }
        catch (IOException failure) { throw new CapabilityException("io", $"The before-image could not be kept: {failure.Message}", failure); }
    }

    private void KeepBefore(FileStep step, Grant grant)
    {
        if (Space.Store.Has(step.Expect!.Hash!)) { return; }
        var seen = SeeFile(FileSpace.Locate(step.Path, grant, write: true), content: true);
        if (!FileSpace.Same(seen.Image, step.Expect)) { throw new CapabilityException("conflict", $"{step.Path} was changed by somebody else meanwhile."); }
        Keep(seen.Content);
    }

    /// <summary>The way back, with the times of the files as they stand.</summary>
    private InversePlan Inverse(IReadOnlyList<FileStep> steps, Grant grant)
    {
        var exact = steps.Select(step => step.Do == "put" && step.Expect!.Kind == "file"
            && Space.See(FileSpace.Locate(step.Path, grant, write: true)).Image is var now && FileSpace.Same(now, step.Expect) ? step with { Expect = now } : step);
        return new InversePlan("files.restore", JsonSerializer.SerializeToElement(new RestoreFiles(FileSteps.Reverse(exact)), FilesJson.Default.RestoreFiles));
    }

    private FileSteps Steps(CapabilityCall call, EffectPlan plan) => new(Space, Forward(call, plan.Touches), call.Grant, call.IdempotencyKey);

    private EffectResult Result(CapabilityCall call, EffectPlan plan, IReadOnlyList<string> kept) =>
        new(ResultOf(call, plan, kept), [.. plan.Touches.Select(touch => touch.After is null ? touch : touch with { After = AsItStands(touch, call.Grant) })]);

    // What somebody else has made of it in the meantime is not our after-image.
    private Image AsItStands(Touch touch, Grant grant)
    {
        var now = Space.See(FileSpace.Locate(FileSpace.PathOf(touch.Resource), grant, write: true)).Image;
        return FileSpace.Same(now, touch.After!) ? now : touch.After!;
    }
}

/// <summary>Looks, and changes nothing: its plan is the read-set.</summary>
internal abstract class FileQuery(CapabilityDescriptor descriptor) : ICapability
{
    public CapabilityDescriptor Descriptor { get; } = descriptor;

    public Task<EffectPlan> Plan(CapabilityCall call, CancellationToken cancellation) => Task.FromResult(new EffectPlan(Look(call, cancellation).Touches, null));

    public Task<EffectResult> Perform(CapabilityCall call, EffectPlan plan, CancellationToken cancellation) => Task.FromResult(Look(call, cancellation));

    /// <summary>Looking again is always safe.</summary>
    public Task<ReadBack> ReadBack(CapabilityCall call, EffectPlan plan, CancellationToken cancellation) => Task.FromResult<ReadBack>(new ReadBack.NotApplied());

    protected abstract EffectResult Look(CapabilityCall call, CancellationToken cancellation);
}
