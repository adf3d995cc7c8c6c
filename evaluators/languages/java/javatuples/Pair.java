package org.javatuples;

public final class Pair<A, B> extends Tuple {
    public Pair(A v0, B v1) {
        super(v0, v1);
    }

    public static <A, B> Pair<A, B> with(A v0, B v1) {
        return new Pair<>(v0, v1);
    }

    @SuppressWarnings("unchecked")
    public A getValue0() {
        return (A) getValue(0);
    }

    @SuppressWarnings("unchecked")
    public B getValue1() {
        return (B) getValue(1);
    }

    public <X> Pair<X, B> setAt0(X value) {
        return new Pair<>(value, getValue1());
    }

    public <X> Pair<A, X> setAt1(X value) {
        return new Pair<>(getValue0(), value);
    }
}
