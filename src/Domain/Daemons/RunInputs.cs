using System.Text.Json;
using Platform.Domain.Daemons.Format;
using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>What the caller gave, bound to what the daemon declares, as a run keeps it.</summary>
public static class RunInputs
{
    /// <summary>An object in canonical form with every declared input (null where nothing was given), or why not.</summary>
    public static (JsonElement Bound, Problem? Problem) Bind(DaemonDefinition daemon, JsonElement given)
    {
        var bound = InputBinding.Bind(daemon.Inputs, given.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null ? null : given);
        if (bound.Values is not { } values) { return (CanonicalJson.Null, bound.Problems[0]); }

        var all = daemon.Inputs.ToDictionary(i => i.Name, _ => CanonicalJson.Null, StringComparer.Ordinal);
        foreach (var member in CanonicalJson.Of(values).EnumerateObject()) { all[member.Name] = member.Value; }
        return (CanonicalJson.Object(all), null);
    }
}
