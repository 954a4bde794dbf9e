using Platform.Messaging;

namespace Platform.Domain.Inference;

/// <summary>Takes a model out of the library; the host then deletes its files where no other name has them. Vectors that it made stay.</summary>
public sealed record RemoveModel(ModelLibraryId Library, string Name, string RequestedBy);

public sealed record ModelRemoved(string Name, string ContentHash, string RemovedBy, DateTimeOffset RemovedAt);

public static class RemoveModelHandler
{
    public static Problem? Validate(RemoveModel command, ModelLibrary? library) =>
        library?.Models.ContainsKey(command.Name) == true ? null : new Problem("model.not-found", $"There is no model '{command.Name}'. `platform models list` lists them.", 404);

    public static (Events, OutgoingMessages) Handle(RemoveModel command, ModelLibrary library, DateTimeOffset now) =>
        library.Models.TryGetValue(command.Name, out var model) ? ([new ModelRemoved(model.Name, model.ContentHash, command.RequestedBy, now)], []) : ([], []);
}
