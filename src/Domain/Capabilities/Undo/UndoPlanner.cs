namespace Platform.Domain.Capabilities.Undoing;

/// <summary>
/// Says what undoing a selection would do, and changes nothing. The oracle: the world afterwards is the one that a replay of the log gives in which
/// only those effects happen that stand. Later effects come first; what others built on ours is refused, or goes too where that is consented to.
/// </summary>
public static class UndoPlanner
{
    /// <param name="by">Who asks: what others did is theirs to undo, unless the selection allows it. Null: as each run's own starter would be answered.</param>
    public static UndoPlan Plan(UndoSelection selection, string? by, IEnumerable<EffectRecord> effects) => new UndoPlanning(selection, by, new EffectIndex(effects)).Plan();
}

internal sealed class UndoPlanning(UndoSelection selection, string? by, EffectIndex index)
{
    private readonly HashSet<EffectId> changing = [];
    private readonly Dictionary<EffectId, string> refused = [];
    private readonly Dictionary<EffectId, Judgement> judged = [];

    /// <summary>Effects that come into sight again, cannot be turned round, and so stand (or not) as the world shows.</summary>
    private readonly HashSet<EffectId> conceded = [];

    public UndoPlan Plan()
    {
        var selected = index.Records.Where(selection.Selects).ToList();
        foreach (var effect in selected) { Include(effect); }
        while (JudgeAll() || FollowImages() || Overspends()) { }

        var lines = new List<UndoLine>();
        foreach (var effect in Concerned().Union(selected).OrderByDescending(e => e.LastOrder).ThenByDescending(e => e.Order)) { lines.Add(Line(effect, lines.Count + 1, selected.Contains(effect))); }
        return new UndoPlan(lines);
    }

    private IEnumerable<EffectRecord> Concerned() =>
        index.Records.Where(e => changing.Contains(e.Id) || refused.ContainsKey(e.Id) || judged.GetValueOrDefault(e.Id) is Judgement.Turn);

    private bool StandsAfter(EffectRecord effect) => conceded.Contains(effect.Id) ? effect.Applied : changing.Contains(effect.Id) ? !effect.Stands : effect.Stands;

    /// <returns>False where the effect can never be turned round.</returns>
    private bool Include(EffectRecord effect)
    {
        if (selection.Undo is null && !effect.Stands) { return false; }
        if (Impossible(effect) is { } because)
        {
            refused.TryAdd(effect.Id, because);
            return false;
        }

        return changing.Add(effect.Id);
    }

    private string? Impossible(EffectRecord effect) => effect switch
    {
        _ when by is not null && effect.User != by && !selection.Others => $"{effect.User} started its run, and undoing what others did was not allowed.",
        { Knowledge: EffectKnowledge.UnderWay } => "it may be happening just now: ask again when it is confirmed.",
        { Knowledge: EffectKnowledge.Unknown } => "nobody can say whether it happened: look, and put it right by hand.",
        { Class: EffectClass.Irreversible } => "it is irreversible.",
        { Inverse: null } when EffectIndex.ChangesSomething(effect) || effect.Class != EffectClass.Reversible => "no way back was recorded for it.",
        _ => null,
    };

    /// <returns>Whether something was refused or included, so that all must be judged again.</returns>
    private bool JudgeAll()
    {
        var again = false;
        judged.Clear();
        foreach (var effect in index.Records.OrderByDescending(e => e.LastOrder))
        {
            if (effect.Class == EffectClass.Pure || conceded.Contains(effect.Id)) { continue; }
            var differs = StandsAfter(effect) != effect.Applied;
            if (!differs && !ComesBack(effect)) { continue; }
            var judgement = Judge(effect, differs);
            judged[effect.Id] = judgement;
            if (judgement is not Judgement.Blocked blocked) { continue; }
            again = true;
            if (selection.Cascade && blocked.By.All(b => !refused.ContainsKey(b.Id) && !changing.Contains(b.Id) && Impossible(b) is null))
            {
                foreach (var other in blocked.By) { changing.Add(other.Id); }
                continue;
            }

            Refuse(effect, blocked.Because);
        }

        return again;
    }

    private bool ComesBack(EffectRecord effect) => changing.Contains(effect.Id) && !effect.Stands;

    private void Refuse(EffectRecord effect, string because)
    {
        if (!changing.Remove(effect.Id)) { conceded.Add(effect.Id); }
        refused[effect.Id] = because;
        judged.Remove(effect.Id);
    }

    /// <summary>Each inverse finds what the effect left, once those before it are done; a register that somebody put elsewhere is not touched.</summary>
    private bool FollowImages()
    {
        var now = index.Images();
        foreach (var effect in index.Records.Where(e => judged.GetValueOrDefault(e.Id) is Judgement.Turn).OrderByDescending(e => e.LastOrder))
        {
            foreach (var touch in EffectIndex.Changes(effect, effect.LastTouches))
            {
                var known = now.TryGetValue(touch.Resource, out var image);
                var moved = known
                    ? touch.After is { } left && !EffectIndex.Same(image!, left)
                    : !effect.Applied && effect.Kind != EffectKind.Counter && index.Before(effect, touch.Resource).Any(b =>
                        b.Touch.Access != Access.Read && b.Effect.LastOrder > effect.LastOrder && judged.GetValueOrDefault(b.Effect.Id) is not Judgement.Turn);
                if (moved)
                {
                    Refuse(effect, $"{touch.Resource} is not as it was left; what was done or undone since must be turned round first.");
                    return true;
                }
            }

            foreach (var touch in EffectIndex.Changes(effect, effect.LastTouches))
            {
                if (now.ContainsKey(touch.Resource)) { now[touch.Resource] = touch.Before; }
            }
        }

        // What changed nothing has no inverse that could bring it back: it comes back only into a world that shows it.
        foreach (var effect in index.Records.Where(e => ComesBack(e) && !EffectIndex.ChangesSomething(e)))
        {
            foreach (var touch in EffectIndex.Changes(effect, effect.Touches))
            {
                if (now.TryGetValue(touch.Resource, out var image) && touch.After is { } left && EffectIndex.Same(image, left)) { continue; }
                if (JudgeTouch(effect, touch) is Judgement.Hidden) { continue; }
                Refuse(effect, $"{touch.Resource} was so already when it was done, and is not so now.");
                return true;
            }
        }

        return false;
    }

    /// <summary>Which of too many compensations are meant cannot be guessed: then it is none.</summary>
    private bool Overspends()
    {
        var spending = index.Records.Where(e => e.Class == EffectClass.Compensable && judged.GetValueOrDefault(e.Id) is Judgement.Turn).ToList();
        if (spending.Count <= selection.Compensations) { return false; }
        foreach (var effect in spending) { Refuse(effect, FormattableString.Invariant($"a trace would stay; {spending.Count} compensations are wanted, and {selection.Compensations} were allowed.")); }
        return true;
    }

    private Judgement Judge(EffectRecord effect, bool differs)
    {
        if (ComesBack(effect) && LostGround(effect) is { } ground)
        {
            return new Judgement.Blocked([ground], $"it was made of what {ground} did, which was undone since.");
        }

        if (!differs) { return new Judgement.Settled(); }
        if (!EffectIndex.ChangesSomething(effect)) { return effect.Inverse is null || EffectIndex.Changes(effect, effect.Touches).Any() ? new Judgement.Nothing() : new Judgement.Turn(); }
        Judgement.Hidden? hidden = null;
        var open = false;
        foreach (var touch in EffectIndex.Changes(effect, effect.Touches))
        {
            switch (JudgeTouch(effect, touch))
            {
                case Judgement.Blocked blocked: return blocked;
                case Judgement.Hidden over: hidden ??= over; break;
                default: open = true; break;
            }
        }

        if (hidden is null) { return new Judgement.Turn(); }
        return open
            ? new Judgement.Blocked([hidden.By], $"a part of it was overwritten: {hidden.Resource}, by {hidden.By}.")
            : hidden;
    }

    private Judgement JudgeTouch(EffectRecord effect, Touch touch)
    {
        var countsOnly = effect.Kind == EffectKind.Counter;
        foreach (var (later, theirs) in index.After(effect, touch))
        {
            // Not there while this one is turned round, and put on top of it afterwards.
            if (!StandsAfter(later) || later.Id == effect.Id || (!later.Applied && later.LastOrder < effect.LastOrder)) { continue; }
            if (theirs.Access == Access.Read)
            {
                List<EffectRecord> readers = later.Class == EffectClass.Pure ? index.MadeOf(later).Where(e => StandsAfter(e) && e.Id != effect.Id).ToList() : [later];

                // They saw what comes back together with them.
                if (ComesBack(effect)) { readers.RemoveAll(ComesBack); }
                if (readers.Count == 0) { continue; }
                return new Judgement.Blocked(readers, $"{touch.Resource} was read since by {later}{(later.Class == EffectClass.Pure ? $", for {readers[0]}" : "")}.");
            }

            if (countsOnly && later.Kind == EffectKind.Counter) { continue; }
            if (later.Knowledge != EffectKnowledge.Confirmed) { return new Judgement.Blocked([later], $"{touch.Resource} may have been changed since by {later}."); }
            if (effect.Kind == EffectKind.CreatedObject) { return new Judgement.Blocked([later], $"{theirs.Resource} was touched since by {later}."); }

            // Somebody could make it only because it was not there.
            if (later.Kind == EffectKind.CreatedObject) { return new Judgement.Blocked([later], $"{theirs.Resource} was made anew since by {later}."); }
            if (ComesBack(later) && !EffectIndex.ChangesSomething(later)) { continue; }
            if (later.Kind != EffectKind.Counter) { return new Judgement.Hidden(touch.Resource, later); }

            return new Judgement.Blocked([later], $"{touch.Resource} was counted on since by {later}.");
        }

        return new Judgement.Turn();
    }

    /// <summary>What an effect that comes back was made of, and which went in the meantime.</summary>
    private EffectRecord? LostGround(EffectRecord effect)
    {
        foreach (var touch in effect.Touches.Where(t => t.Access == Access.Read || effect.Kind != EffectKind.CreatedObject))
        {
            foreach (var (earlier, theirs) in index.Before(effect, touch.Resource))
            {
                var carries = touch.Access == Access.Read || earlier.Kind == EffectKind.CreatedObject;
                if (carries && theirs.Access != Access.Read && !StandsAfter(earlier) && earlier.ChangedOrder > effect.Order) { return earlier; }
            }
        }

        foreach (var look in index.LooksOf(effect))
        {
            foreach (var touch in look.Touches)
            {
                foreach (var (earlier, theirs) in index.Before(look, touch.Resource))
                {
                    if (theirs.Access != Access.Read && earlier.Class != EffectClass.Pure && !StandsAfter(earlier) && earlier.ChangedOrder > look.Order) { return earlier; }
                }
            }
        }

        return null;
    }

    private UndoLine Line(EffectRecord effect, int order, bool isSelected)
    {
        var stands = StandsAfter(effect);
        var resources = EffectIndex.Changes(effect, effect.LastTouches).Select(t => t.Resource).Distinct(StringComparer.Ordinal).ToList();
        UndoLine Of(UndoVerdict verdict, string because, IReadOnlyList<EffectId>? needs = null) =>
            new(effect.Id, effect.RunId, effect.StagePath, effect.Capability, verdict, because, order, resources, stands, needs ?? [], isSelected);

        if (refused.TryGetValue(effect.Id, out var why) && judged.GetValueOrDefault(effect.Id) is not Judgement.Turn) { return Of(UndoVerdict.Cannot, $"Cannot be {(effect.Stands ? "undone" : "done again")}: {why}"); }
        return judged.GetValueOrDefault(effect.Id) switch
        {
            Judgement.Hidden hidden => Of(UndoVerdict.Skip, $"{(effect.Applied ? "Nothing of it is left" : "It would not be seen")}: {hidden.Resource} was written since by {hidden.By}."),
            Judgement.Nothing => Of(UndoVerdict.Skip, "It changed nothing."),
            Judgement.Turn => Of(Verdict(effect), Why(effect, isSelected), Needs(effect)),
            _ => Of(UndoVerdict.Skip, stands ? "It is still there: its undo had nothing to do." : "It is gone already."),
        };
    }

    private static UndoVerdict Verdict(EffectRecord effect) => !effect.Applied ? UndoVerdict.Undo : effect.Class switch
    {
        EffectClass.Compensable => UndoVerdict.Compensate,
        EffectClass.Deferrable => UndoVerdict.Drop,
        EffectClass.Pure or EffectClass.Reversible or EffectClass.Irreversible => UndoVerdict.Undo,
    };

    private string Why(EffectRecord effect, bool isSelected) =>
        !effect.Applied ? "Its undo is turned round."
        : isSelected ? effect.Class == EffectClass.Compensable ? "A trace stays." : "Its way back is open."
        : changing.Contains(effect.Id) ? "It was made of what is undone, and goes with it."
        : "It was undone before; what lies over it goes, and it must not come back.";

    /// <summary>Lines that come first and change or read what this one changes.</summary>
    private List<EffectId> Needs(EffectRecord effect)
    {
        var needs = new List<EffectId>();
        foreach (var touch in EffectIndex.Changes(effect, effect.Touches))
        {
            foreach (var (other, theirs) in index.On(effect, touch))
            {
                // Who looked before saw nothing of it, so what he did afterwards does not hang on it.
                if (other.Class == EffectClass.Pure && other.Order < effect.Order) { continue; }
                foreach (var line in other.Class == EffectClass.Pure ? index.MadeOf(other) : [other])
                {
                    var counts = effect.Kind == EffectKind.Counter && line.Kind == EffectKind.Counter && theirs.Access != Access.Read;
                    if (line.LastOrder > effect.LastOrder && !counts && judged.GetValueOrDefault(line.Id) is Judgement.Turn && !needs.Contains(line.Id)) { needs.Add(line.Id); }
                }
            }
        }

        return needs;
    }
}

/// <summary>What is to become of an effect whose standing and whose trace in the world differ.</summary>
internal abstract record Judgement
{
    private Judgement() { }

    /// <summary>Its inverse is to be performed.</summary>
    public sealed record Turn : Judgement;

    public sealed record Nothing : Judgement;

    /// <summary>The world shows already what is to be.</summary>
    public sealed record Settled : Judgement;

    /// <summary>Somebody wrote over it.</summary>
    public sealed record Hidden(string Resource, EffectRecord By) : Judgement;

    /// <summary>Unless these go too (or come back too).</summary>
    public sealed record Blocked(IReadOnlyList<EffectRecord> By, string Because) : Judgement;
}
