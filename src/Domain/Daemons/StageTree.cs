using Platform.Domain.Daemons.Format;

namespace Platform.Domain.Daemons;

/// <summary>Finds the definition of a stage instance.</summary>
public static class StageTree
{
    /// <returns>Null where the daemon has no such stage.</returns>
    public static Stage? Find(DaemonDefinition daemon, string path)
    {
        IReadOnlyList<Stage> list = daemon.Stages;
        Stage? found = null;
        foreach (var part in path.Split('/'))
        {
            if (found is null && part == StagePath.DaemonOnError) { list = daemon.OnError; continue; }
            if (found is null && part == StagePath.DaemonFinally) { list = daemon.Finally; continue; }

            var end = part.AsSpan().IndexOfAny('[', '$');
            var id = end < 0 ? part : part[..end];
            found = list.FirstOrDefault(s => s.Id == id);
            if (found is null) { return null; }
            list = end >= 0 && part[end] == '$'
                ? part.AsSpan(end).SequenceEqual("$fallback") ? found.Common.Fallback : found.Common.OnError.Stages
                : Inner(found);
        }

        return found;
    }

    /// <summary>Every stage of a daemon, at any depth.</summary>
    public static IEnumerable<Stage> All(DaemonDefinition daemon) => All([.. daemon.Stages, .. daemon.OnError, .. daemon.Finally]);

    private static IEnumerable<Stage> All(IEnumerable<Stage> stages)
    {
        foreach (var stage in stages)
        {
            yield return stage;
            foreach (var inner in All(Inner(stage).Concat(stage.Common.Fallback).Concat(stage.Common.OnError.Stages))) { yield return inner; }
        }
    }

    private static IReadOnlyList<Stage> Inner(Stage stage) => stage switch
    {
        IfStage choice => [.. choice.Then, .. choice.Else],
        SwitchStage choice => [.. choice.Cases.SelectMany(c => c.Do)],
        ForeachStage each => each.Do,
        _ => [],
    };
}
