using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Platform.Domain.Daemons.Expressions;

namespace Platform.Domain.Daemons;

/// <summary>
/// What expressions of one stage see: <c>inputs vars run stages</c>, what stages and <c>set</c> named in its scope and those around it, the
/// item and its number within a foreach, and what is given beside (<c>error</c>, <c>output</c>). Notes whether anything read came from outside.
/// </summary>
public sealed class RunNames(Run run, string scope, DateTimeOffset now, IReadOnlyDictionary<string, ScopeValue>? beside = null) : IScope
{
    public DateTimeOffset Now { get; } = now;

    /// <summary>Something that was read so far came from content of outside.</summary>
    public bool Untrusted { get; private set; }

    /// <summary>The same names, with nothing read yet.</summary>
    public RunNames Fresh() => new(run, scope, Now, beside);

    /// <summary>Notes what was read through <see cref="Fresh"/> names.</summary>
    public void Taint(bool untrusted) => Untrusted |= untrusted;

    public static RunNames Of(Run run, string path, DateTimeOffset now, IReadOnlyDictionary<string, ScopeValue>? beside = null) =>
        new(run, StagePath.ScopeOf(path), now, beside ?? ErrorsAround(run, path));

    public bool TryGet(string name, out JsonElement value)
    {
        if (Find(name) is not { } found)
        {
            value = default;
            return false;
        }

        Untrusted |= found.Untrusted;
        value = found.Value;
        return true;
    }

    /// <summary>Every value that has a name here, inner names before outer ones, without the roots.</summary>
    public ImmutableSortedDictionary<string, ScopeValue> Visible()
    {
        var all = ImmutableSortedDictionary.CreateBuilder<string, ScopeValue>(StringComparer.Ordinal);
        foreach (var key in Chain())
        {
            if (run.Scopes.TryGetValue(key, out var names))
            {
                foreach (var (name, value) in names.Values) { all.TryAdd(name, value); }
            }

            if (ItemOf(key) is not { } item) { continue; }
            all.TryAdd(item.List.As, item.Value);
            if (item.List.Index is { } index) { all.TryAdd(index, new ScopeValue(CanonicalJson.Number(item.Number), false)); }
        }

        return all.ToImmutable();
    }

    private ScopeValue? Find(string name)
    {
        if (beside is not null && beside.TryGetValue(name, out var given)) { return given; }
        foreach (var key in Chain())
        {
            if (run.Scopes.TryGetValue(key, out var names) && names.Values.TryGetValue(name, out var value)) { return value; }
            if (ItemOf(key) is not { } item) { continue; }
            if (item.List.As == name) { return item.Value; }
            if (item.List.Index == name) { return new ScopeValue(CanonicalJson.Number(item.Number), false); }
        }

        return name switch
        {
            "inputs" => new ScopeValue(run.Started.Inputs, false),
            "vars" => new ScopeValue(run.Started.Vars, false),
            "run" => new ScopeValue(
                CanonicalJson.Object(
                [
                    new("id", CanonicalJson.Text(run.Id.ToString())),
                    new("started_at", CanonicalJson.Text(run.Started.At.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.FFFFFFFZ", CultureInfo.InvariantCulture))),
                ]),
                false),
            "stages" => Stages(),
            _ => null,
        };
    }

    private IEnumerable<string> Chain()
    {
        for (var key = scope; ; key = StagePath.Enclosing(key))
        {
            yield return key;
            if (key.Length == 0) { yield break; }
        }
    }

    private (ForeachState List, int Number, ScopeValue Value)? ItemOf(string key)
    {
        if (key.Length == 0) { return null; }
        var (path, number) = StagePath.SplitItem(key);
        return run.Stage(path) is { Foreach: { } list } state ? (list, number, new ScopeValue(list.Items[number], state.Untrusted)) : null;
    }

    // Coarse on purpose: whoever reads "stages" may read any of them.
    private ScopeValue Stages()
    {
        var all = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        var untrusted = false;
        foreach (var key in Chain())
        {
            if (!run.Scopes.TryGetValue(key, out var names)) { continue; }
            foreach (var (path, state) in names.Stages)
            {
                untrusted |= state.Untrusted;
                all.TryAdd(StagePath.IdOf(path), CanonicalJson.Object(
                [
                    new("output", state.Output ?? CanonicalJson.Null),
                    new("status", CanonicalJson.Text(Name(state.Status))),
                    new("error", state.Error is { } error ? ErrorValue(error) : CanonicalJson.Null),
                ]));
            }
        }

        return new ScopeValue(CanonicalJson.Object(all), untrusted);
    }

    public static JsonElement ErrorValue(StageError error) => CanonicalJson.Object(
    [
        new("type", CanonicalJson.Text(error.Type)),
        new("message", CanonicalJson.Text(error.Message)),
        new("stage", CanonicalJson.Text(error.Path)),
    ]);

    /// <summary>Within <c>on_error</c> and <c>fallback</c>, <c>error</c> is what went wrong; messages may quote what came from outside.</summary>
    private static Dictionary<string, ScopeValue>? ErrorsAround(Run run, string path)
    {
        for (var block = StagePath.BlockOf(path); block.Length > 0; block = StagePath.BlockOf(block))
        {
            var at = block.LastIndexOf('$');
            if (at < 0 || at < block.LastIndexOf('/')) { continue; }
            var error = at == 0
                ? run.Decided is { ErrorType: { } type } end ? new StageError(type, end.Message ?? "", end.Path ?? "", false) : null
                : run.Stage(block[..at])?.Error;
            return error is null ? null : new Dictionary<string, ScopeValue> { ["error"] = new(ErrorValue(error), true) };
        }

        return null;
    }

    private static string Name(StageStatus status) => status switch
    {
        StageStatus.Running or StageStatus.Performing or StageStatus.Performed or StageStatus.Open => "running",
        StageStatus.Waiting => "waiting",
        StageStatus.FallingBack or StageStatus.Handling => "recovering",
        StageStatus.Success => "success",
        StageStatus.Fallback => "fallback",
        StageStatus.Skipped => "skipped",
        StageStatus.Cancelled => "cancelled",
        StageStatus.Failed or StageStatus.Broken => "failed",
    };
}
