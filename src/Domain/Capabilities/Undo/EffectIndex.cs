using Platform.Domain.Daemons;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>Effects by what they touched, in the order of the log.</summary>
internal sealed class EffectIndex
{
    private readonly Dictionary<string, List<(EffectRecord Effect, Touch Touch)>> byResource = new(StringComparer.Ordinal);
    private readonly ILookup<RunId, EffectRecord> byRun;
    private readonly ILookup<RunId, EffectRecord> looksByRun;

    public EffectIndex(IEnumerable<EffectRecord> effects)
    {
        Records = [.. effects.OrderBy(e => e.Order)];
        byRun = Records.Where(e => e.Class != EffectClass.Pure).ToLookup(e => e.RunId);
        looksByRun = Records.Where(e => e.Class == EffectClass.Pure).ToLookup(e => e.RunId);
        foreach (var effect in Records)
        {
            foreach (var touch in effect.Touches.Where(t => t.Access == Access.Read).Concat(Changes(effect, effect.Touches)))
            {
                if (!byResource.TryGetValue(touch.Resource, out var list)) { byResource.Add(touch.Resource, list = []); }
                list.Add((effect, touch));
            }
        }
    }

    public IReadOnlyList<EffectRecord> Records { get; }

    /// <summary>Touches of the resource by later effects; of a folder that the effect made, also of what lies in it. Reads before writes of one effect.</summary>
    public IEnumerable<(EffectRecord Effect, Touch Touch)> After(EffectRecord effect, Touch touch) => On(effect, touch).Where(t => t.Effect.Order > effect.Order);

    public IEnumerable<(EffectRecord Effect, Touch Touch)> On(EffectRecord effect, Touch touch)
    {
        var exact = byResource.GetValueOrDefault(touch.Resource, []);
        return effect.Kind == EffectKind.CreatedObject && IsFolder(touch)
            ? exact.Concat(byResource.Where(r => IsBeneath(r.Key, touch.Resource)).SelectMany(r => r.Value)).OrderBy(t => t.Effect.Order)
            : exact;
    }

    public IEnumerable<(EffectRecord Effect, Touch Touch)> Before(EffectRecord effect, string resource) =>
        byResource.GetValueOrDefault(resource, []).Where(t => t.Effect.Order < effect.Order);

    /// <summary>What a run did after a look at the world may be made of what it saw; another item of the same list is not.</summary>
    public IEnumerable<EffectRecord> MadeOf(EffectRecord look) =>
        byRun[look.RunId].Where(e => e.Order > look.Order && !InOtherItem(e.StagePath, look.StagePath));

    /// <summary>Looks that an effect may be made of.</summary>
    public IEnumerable<EffectRecord> LooksOf(EffectRecord effect) =>
        looksByRun[effect.RunId].Where(l => l.Order < effect.Order && !InOtherItem(effect.StagePath, l.StagePath));

    /// <summary>Resources as the log says that they are now; those that are counted on are left out, their images drift.</summary>
    public Dictionary<string, Image> Images()
    {
        var images = new Dictionary<string, Image>(StringComparer.Ordinal);
        foreach (var (resource, touches) in byResource)
        {
            if (touches.Any(t => t.Effect.Kind == EffectKind.Counter && t.Touch.Access != Access.Read)) { continue; }
            var last = touches.Where(t => t.Touch.Access != Access.Read).Select(t => t.Effect).MaxBy(e => e.LastOrder);
            if (last is not null && Changes(last, last.LastTouches).LastOrDefault(t => t.Resource == resource)?.After is { } image) { images.Add(resource, image); }
        }

        return images;
    }

    /// <summary>What it changes, but for folders made in passing: such a folder stays while somebody uses it.</summary>
    public static IEnumerable<Touch> Changes(EffectRecord effect, IReadOnlyList<Touch> touches) =>
        touches.Where(t => t.Access != Access.Read && !(IsFolder(t) && touches.Any(o => o.Access != Access.Read && IsBeneath(o.Resource, t.Resource))));

    /// <summary>False where every image was the same before and after; an effect that touches nothing, such as a request, changes something elsewhere.</summary>
    public static bool ChangesSomething(EffectRecord effect)
    {
        var changes = Changes(effect, effect.Touches).ToList();
        return changes.Count == 0 ? effect.Class != EffectClass.Reversible : effect.Kind == EffectKind.Counter || changes.Any(t => t.After is null || !Same(t.Before, t.After));
    }

    public static bool Same(Image one, Image other) => one.Kind == other.Kind && one.Hash == other.Hash
        && (ModeOf(one) is not { } mode || ModeOf(other) is not { } mode2 || mode == mode2);

    private static string? ModeOf(Image image) => image.Attributes?.GetValueOrDefault("mode");

    private static bool IsFolder(Touch touch) => touch.After?.Kind == "folder" || touch.Before.Kind == "folder";

    private static bool IsBeneath(string resource, string folder) =>
        resource.Length > folder.Length && resource.StartsWith(folder, StringComparison.Ordinal) && (folder.EndsWith('/') || resource[folder.Length] == '/');

    /// <summary>Whether the paths part at two items of one list: <c>each[3]/read</c> and <c>each[4]/move</c>.</summary>
    private static bool InOtherItem(string one, string other)
    {
        var (mine, theirs) = (one.Split('/'), other.Split('/'));
        for (var i = 0; i < Math.Min(mine.Length, theirs.Length); i++)
        {
            if (mine[i] == theirs[i]) { continue; }
            var (at, their) = (mine[i].LastIndexOf('['), theirs[i].LastIndexOf('['));
            return at > 0 && their > 0 && mine[i][..at] == theirs[i][..their];
        }

        return false;
    }
}
