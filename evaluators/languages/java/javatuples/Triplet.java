package org.javatuples;

public final class Triplet<A, B, C> extends Tuple {
    public Triplet(A v0, B v1, C v2) {
        super(v0, v1, v2);
    }

    public static <A, B, C> Triplet<A, B, C> with(A v0, B v1, C v2) {
        return new Triplet<>(v0, v1, v2);
    }

    @SuppressWarnings("unchecked")
    public A getValue0() {
        return (A) getValue(0);
    }

    @SuppressWarnings("unchecked")
    public B getValue1() {
        return (B) getValue(1);
    }

    @SuppressWarnings("unchecked")
    public C getValue2() {
        return (C) getValue(2);
    }

    public <X> Triplet<X, B, C> setAt0(X value) {
        return new Triplet<>(value, getValue1(), getValue2());
    }

    public <X> Triplet<A, X, C> setAt1(X value) {
        return new Triplet<>(getValue0(), value, getValue2());
    }

    public <X> Triplet<A, B, X> setAt2(X value) {
        return new Triplet<>(getValue0(), getValue1(), value);
    }
}
