using Xunit.Sdk;
using Xunit.v3;

[assembly: TestCollectionOrderer(typeof(Platform.EndToEnd.Tests.Longest_first))]

namespace Platform.EndToEnd.Tests;

/// <summary>The collections that take minutes begin first, so that none of them is left alone at the end; the others follow in any order.</summary>
public sealed class Longest_first : ITestCollectionOrderer
{
    private static readonly string[] Long = [nameof(Killed_processes), nameof(The_documentation), nameof(Cli_on_an_installation), nameof(Faults_of_processes), nameof(Http_api_under_faults), nameof(Functions.Cloud_functions_under_faults)];

    public IReadOnlyCollection<TTestCollection> OrderTestCollections<TTestCollection>(IReadOnlyCollection<TTestCollection> testCollections)
        where TTestCollection : ITestCollection =>
        [.. testCollections.OrderBy(collection => Array.FindIndex(Long, name => IsOf(collection, name)) is >= 0 and var place ? place : Long.Length)];

    /// <summary>A collection of one class has its name within a sentence.</summary>
    private static bool IsOf(ITestCollection collection, string name) => collection.TestCollectionDisplayName.Contains($".{name} ", StringComparison.Ordinal);
}
