using System.CommandLine;
using System.Text.Json.Nodes;
using Platform.Domain.Inference;
using Platform.GpuKernels.Embedding;
using Platform.Hosting;
using Platform.Inference.Embedding;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform models</c>: the embedding models of this installation. They come from a directory or a zip; nothing is downloaded.</summary>
internal static class ModelsCommand
{
    public static Command Create(Commands commands)
    {
        var source = new Argument<string>("SOURCE") { Description = "A directory in the layout of sentence-transformers, or a zip of one." };
        var name = new Option<string?>("--name") { Description = "What it is called here; without it, after SOURCE.", HelpName = "NAME" };
        var dry = new Option<bool>("--dry-run") { Description = "Check and try it, keep nothing." };
        var perhaps = new Argument<string?>("MODEL") { Description = "Of a model; without it, all.", Arity = ArgumentArity.ZeroOrOne };
        var model = new Argument<string>("MODEL") { Description = "Of a model." };
        var models = commands.Add("models", "Embedding models: imported from your files, pinned by SHA-256, never downloaded.", [], ["models"], (_, settings, stop) => List(settings, stop));
        models.Add(commands.Add("import", "Copy a model into the installation, pin its files, and try it.", [source, name, dry], [], (parse, settings, stop) =>
            Import(settings, parse.GetValue(source)!, parse.GetValue(name), parse.GetValue(dry), stop)));
        models.Add(commands.Add("list", "The models that are there.", [], ["models list", "models list --json"], (_, settings, stop) => List(settings, stop)));
        models.Add(commands.Add("verify", "Hash the files again and embed a text.", [perhaps], ["models verify"], (parse, settings, stop) => Verify(settings, parse.GetValue(perhaps), stop)));
        models.Add(commands.Add("remove", "Take a model out and delete its files.", [model], [], (parse, settings, stop) => Remove(settings, parse.GetValue(model)!, stop)));
        return models;
    }

    private static ModelStore StoreOf(Settings settings) => TextEmbedders.StoreOf(settings.DataFolder, settings.Tenant);

    private static async Task<int> Import(Settings settings, string source, string? given, bool dry, CancellationToken stop)
    {
        if (source.Length == 0) { throw new ProblemException(new Problem("model.source", "The source is an empty name: give a directory or a zip.")); }

        var name = given ?? NameOf(source);
        if (ImportModelHandler.RefuseName(name) is { } wrong) { throw new ProblemException(wrong with { Detail = Terminal.Safe(wrong.Detail) + (given is null ? " --name gives it another one." : "") }); }

        await using var installation = await Installation.Open(settings, stop);
        using var turn = await StoreOf(settings).TakeTurn(stop);
        StoredModel stored;
        try { stored = await Task.Run(() => StoreOf(settings).Import(source, keep: !dry, stop), stop); }
        catch (ModelStoreException e) { throw new ProblemException(new Problem("model.source", Terminal.Safe(e.Message))); }
        catch (UnusableModelException e) { throw new ProblemException(new Problem("model.unusable", Terminal.Safe(e.Message))); }

        if (stored.LeftOut.Count > 0) { settings.Terminal.Note($"Left out, since embedding does not need it: {Terminal.Safe(string.Join(", ", stored.LeftOut.Take(10)))}{(stored.LeftOut.Count > 10 ? " ..." : "")}"); }
        if (!dry)
        {
            try
            {
                await installation.Node.Bus.Invoke(new ImportModel(ModelLibraryId.Only, name, stored.ContentHash, stored.Files, source, Installation.User), new InvokeOptions(settings.Tenant, null, Installation.User), stop);
            }
            catch (ProblemException)
            {
                await DeleteUnnamed(installation, stored.ContentHash, stop);
                throw;
            }
        }

        settings.Terminal.Say($"{(dry ? "Could import" : "Imported")} '{name}': {stored.Files.Count} files, {stored.Files.Sum(file => file.SizeBytes)} bytes, sha256 {stored.ContentHash}.", new JsonObject { ["name"] = name, ["contentHash"] = stored.ContentHash, ["dryRun"] = dry, ["files"] = Files(stored.Files) });
        return ExitCode.Done;
    }

    /// <summary>The folder's name whole, for "bge-small-en-v1.5" has no extension; a zip's without its.</summary>
    private static string NameOf(string source)
    {
        var last = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(source))).ToLowerInvariant();
        return last.EndsWith(".zip", StringComparison.Ordinal) ? last[..^".zip".Length] : last;
    }

    private static async Task<int> List(Settings settings, CancellationToken stop)
    {
        await using var installation = await Installation.Open(settings, stop);
        var models = await Models(installation, stop);
        if (settings.Terminal.Json)
        {
            foreach (var model in models)
            {
                settings.Terminal.Record(new JsonObject { ["name"] = model.Name, ["contentHash"] = model.ContentHash, ["source"] = model.Source, ["importedBy"] = model.ImportedBy, ["importedAt"] = model.ImportedAt, ["files"] = Files(model.Files) });
            }

            return ExitCode.Done;
        }

        settings.Terminal.Table(
            ["MODEL", "BYTES", "SHA-256", "IMPORTED", "FROM"],
            [.. models.Select(model => (IReadOnlyList<string>)[model.Name, $"{model.Files.Sum(file => file.SizeBytes)}", model.ContentHash[..12], settings.Terminal.Time(model.ImportedAt), Terminal.Safe(model.Source)])],
            "There is no model yet. `platform models import DIRECTORY` takes one in; until then texts are compared by their words.");
        return ExitCode.Done;
    }

    private static async Task<int> Verify(Settings settings, string? name, CancellationToken stop)
    {
        await using var installation = await Installation.Open(settings, stop);
        var models = await Models(installation, stop);
        if (name is not null && models.All(model => model.Name != name)) { throw new ProblemException(new Problem("model.not-found", $"There is no model '{Terminal.Safe(name)}'. `platform models list` lists them.", 404)); }

        var sound = true;
        foreach (var model in models.Where(model => name is null || model.Name == name))
        {
            var wrong = await Task.Run(() => StoreOf(settings).Verify(model.ContentHash, model.Files, stop), stop);
            sound &= wrong.Count == 0;
            if (settings.Terminal.Json) { settings.Terminal.Record(new JsonObject { ["name"] = model.Name, ["sound"] = wrong.Count == 0, ["faults"] = new JsonArray([.. wrong.Select(fault => JsonValue.Create(fault))]) }); }
            else
            {
                settings.Terminal.Line($"{(wrong.Count == 0 ? settings.Terminal.Paint("sound", Ink.Green) : settings.Terminal.Paint("BROKEN", Ink.Red))}  {model.Name}");
                foreach (var fault in wrong) { settings.Terminal.Line($"  {Terminal.Safe(fault)}"); }
            }
        }

        if (models.Count == 0) { settings.Terminal.Note("There is no model yet."); }

        return sound ? ExitCode.Done : ExitCode.Failed;
    }

    private static async Task<int> Remove(Settings settings, string name, CancellationToken stop)
    {
        await using var installation = await Installation.Open(settings, stop);
        using var turn = await StoreOf(settings).TakeTurn(stop);
        var model = (await Models(installation, stop)).FirstOrDefault(one => one.Name == name);
        await installation.Node.Bus.Invoke(new RemoveModel(ModelLibraryId.Only, name, Installation.User), new InvokeOptions(settings.Tenant, null, Installation.User), stop);
        await DeleteUnnamed(installation, model!.ContentHash, stop);
        settings.Terminal.Say($"Removed '{name}'.", new JsonObject { ["name"] = name, ["contentHash"] = model.ContentHash });
        return ExitCode.Done;
    }

    /// <summary>Deletes the files of a model that has no name left.</summary>
    private static async Task DeleteUnnamed(Installation installation, string contentHash, CancellationToken stop)
    {
        if ((await Models(installation, stop)).All(model => model.ContentHash != contentHash)) { StoreOf(installation.Settings).Delete(contentHash); }
    }

    private static async Task<IReadOnlyList<ModelImported>> Models(Installation installation, CancellationToken stop) =>
        (await installation.Node.Store.Load(installation.Tenant, ModelLibraryId.Only.Value, Domain.Folds.ModelLibrary, stop)).State is { } library ? [.. library.Models.Values] : [];

    private static JsonArray Files(IReadOnlyList<ModelFile> files) => new([.. files.Select(file => new JsonObject { ["path"] = file.Path, ["sizeBytes"] = file.SizeBytes, ["sha256"] = file.Sha256 })]);
}
