using Platform.Domain.Inference;

namespace Platform.Domain.Tests.Inference;

public class A_model_library
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 27, 12, 0, 0, TimeSpan.Zero);
    private static readonly ModelFile File = new("config.json", 12, new string('a', 64));
    private static readonly ImportModel Import = new(ModelLibraryId.Only, "mini", "abc", [File], "/models/mini", "ann");
    private static readonly ModelImported Imported = new("mini", "abc", [File], "/models/mini", "ann", Noon);

    [Fact]
    public void takes_a_model_in_once()
    {
        Assert.Null(ImportModelHandler.Validate(Import, null));
        var (events, messages) = ImportModelHandler.Handle(Import, null, Noon);
        var imported = Assert.IsType<ModelImported>(Assert.Single(events));
        Assert.Equal((Imported.Name, Imported.ContentHash, Imported.Source, Imported.ImportedBy, Imported.ImportedAt), (imported.Name, imported.ContentHash, imported.Source, imported.ImportedBy, imported.ImportedAt));
        Assert.Equal([File], imported.Files);
        Assert.Empty(messages);

        var library = ModelLibrary.Create(imported);
        Assert.Null(ImportModelHandler.Validate(Import, library));
        Assert.Empty(ImportModelHandler.Handle(Import, library, Noon).Item1);
    }

    [Fact]
    public void refuses_another_model_of_the_same_name() =>
        Assert.Equal("model.name-taken", ImportModelHandler.Validate(Import with { ContentHash = "other" }, ModelLibrary.Create(Imported))?.Code);

    [Theory]
    [InlineData("")]
    [InlineData("..")]
    [InlineData("-x")]
    [InlineData("a/b")]
    [InlineData("Mini")]
    [InlineData("a b")]
    [InlineData("lexical-v1")]
    [InlineData("12345678901234567890123456789012345678901234567890123456789012345")]
    public void refuses_names_that_are_none(string name) => Assert.Equal("model.name", ImportModelHandler.Validate(Import with { Name = name }, null)?.Code);

    [Fact]
    public void refuses_too_many_files_and_none()
    {
        Assert.Equal("model.files", ImportModelHandler.Validate(Import with { Files = [] }, null)?.Code);
        Assert.Equal("model.files", ImportModelHandler.Validate(Import with { Files = [.. Enumerable.Repeat(File, ImportModelHandler.MaxFiles + 1)] }, null)?.Code);
    }

    [Fact]
    public void keeps_what_it_has_when_a_device_is_set_aside_and_says_so()
    {
        var command = new SetDeviceAside(ModelLibraryId.Only, "cuda:0", "a card", "Lost", "cuStreamSynchronize failed", "mini");
        var aside = Assert.IsType<DeviceSetAside>(Assert.Single(SetDeviceAsideHandler.Handle(command, null, Noon).Item1));
        Assert.Equal(new DeviceSetAside("cuda:0", "a card", "Lost", "cuStreamSynchronize failed", "mini", Noon), aside);
        Assert.Empty(ModelLibrary.Create(aside).Models);
        var library = ModelLibrary.Create(Imported);
        Assert.Equal(library.Models, library.Apply(aside).Models);
        Assert.Equal(aside, library.Apply(aside).LastSetAside);
    }

    [Fact]
    public void takes_a_model_out_and_in_again()
    {
        var library = ModelLibrary.Create(Imported);
        var remove = new RemoveModel(ModelLibraryId.Only, "mini", "bob");
        Assert.Null(RemoveModelHandler.Validate(remove, library));
        Assert.Equal([new ModelRemoved("mini", "abc", "bob", Noon)], RemoveModelHandler.Handle(remove, library, Noon).Item1);

        var emptied = library.Apply(new ModelRemoved("mini", "abc", "bob", Noon));
        Assert.Equal("model.not-found", RemoveModelHandler.Validate(remove, emptied)?.Code);
        Assert.Equal("model.not-found", RemoveModelHandler.Validate(remove, null)?.Code);
        Assert.Single(ImportModelHandler.Handle(Import with { ContentHash = "new" }, emptied, Noon).Item1);
    }
}
